"""The transaction: `store` opens it and isolates refused rows, `writer` hands rows to the `tables` that write their
kinds, `letter` is what could not be stored, `letters` writes those that a `bound` lets be kept,
`maintenance` is done hourly.
"""
