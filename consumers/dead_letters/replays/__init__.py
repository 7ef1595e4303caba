"""Replays as things: `words` are what a person may say of one, `register` keeps them, `wishes` says what one is doing
and what a wish makes of it, `control` tells and hears for its process, `preview` foresees what one would send,
`sending` sends its letters, `watch` waits for what becomes of them.
"""
