"""One machine: `install` finds the servers' programs, `processes` runs them, `postgres` and `rabbitmq` are private
ones, `stack` is both, `state` what a folder remembers; `up` adds shim and workers, `steps` say how far that is
and hear Ctrl-C, `shim_client` asks them, `demonstration` shows them, `foreground` keeps Ctrl-C for them.
"""
