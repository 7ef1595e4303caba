"""What all machines know of each other, by the database: `pauses` hold queues back, `holding` obeys them, `supervisors`
tell of themselves and are asked, `view` makes one list of them, `samples` keep how each minute went, `errors` say what
stands in the way.
"""
