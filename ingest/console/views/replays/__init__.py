"""Replays: `wished` shows those there are and pauses, resumes and stops them, `begun` begins one."""
