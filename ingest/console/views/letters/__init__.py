"""Letters, and what an operator does about them: `chosen` says which, `listed` shows them by cause and in a list, `one`
all that is known of one; `decided` parks, unparks, discards and prunes, `noted` leaves a note on a cause, `exported`
sends them as a file; `edited` corrects one by the `text` of its body, `patched` many
alike.
"""
