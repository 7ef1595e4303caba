"""One consumer process: `process` connects, `lanes` says which queues, `source` brings deliveries that `intake` makes,
`pipeline` judges and gathers them in the `batcher`, `committer` stores them, `outbox` sends on, and
`hand` keeps what can't leave yet. `seams` are the contracts of what the loop stands on; `memory` keeps them on plain
values; `guard` makes a fault over one delivery that delivery's letter.
"""
