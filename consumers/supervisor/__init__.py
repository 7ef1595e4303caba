"""Processes over processes: `supervisor` is the loop, `pool` and `slot` hold the workers, `control` hears operators,
`scaling` obeys them, `monitor` looks around, `roster` speaks with other machines, `meter` and `autoscale` decide,
`autoscaler` acts, `metrics` and `systemd` tell.
"""
