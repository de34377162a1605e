"""A researcher on Pydantic AI without an adapter, in both of OpenAI's APIs."""

from pydantic_ai import Agent

import bursar

agent = Agent("openai-chat:gpt-5-mini", name="researcher", defer_model_check=True)


@agent.tool_plain
def look_up(topic: str) -> str:
    """Look a topic up in the notes."""
    return "It was opened in 1894."


with bursar.budget("$0.05") as budget:
    agent.run_sync("When?")
