"""The operator's web page: `server` runs it, `patience` bounds how long a client may take, `entrance` knows who comes
in, a `fence` stands before every request, `app` routes to `views`, `pages` renders what they show, `marked` finds in a
body what a letter was refused for, `carrying` starts processes that carry out replays, `live` feeds open pages with
numbers, `runbooks` are shown as they were installed.
"""
