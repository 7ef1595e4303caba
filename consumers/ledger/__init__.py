"""What was taken and where it is: `counts` is written with each batch, `balance` adds it up, and `drift` counts what is
otherwise than documented.
"""
