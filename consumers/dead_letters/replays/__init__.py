"""Replays as things: `register` keeps them, `wishes` says what one is doing and what a wish makes of it, `control`
tells and hears for its process, `sending` sends its letters, `watch` waits for what becomes of them.
"""
