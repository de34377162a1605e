"""The admin API: everything that the command line can ask and do, over HTTP, below `/bursar/v1/`."""
