"""Who a call is for: labels from headers and bodies."""
