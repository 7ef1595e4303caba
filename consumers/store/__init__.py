"""The transaction: `store` opens it and isolates refused rows, `writer` hands rows to the `tables` that write their
kinds, `node_state` is what holds of a node, `letter` is what could not be stored, `particulars` what is told of
its message, `letters` writes those that a `bound` lets be kept, `maintenance` is done hourly.
"""
