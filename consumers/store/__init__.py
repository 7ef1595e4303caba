"""The transaction: `store` opens it and isolates refused rows, `writer` writes by kind, `letter` is what could not be
stored, `letters` writes those.
"""
