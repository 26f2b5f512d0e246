"""Prompts: conversations that go on, parts that share no prompt, and harmless requests that look harmful."""
