"""The operator's web page: `server` runs it, `entrance` knows who may come in, a `fence` stands before every request,
`app` routes to `views`, `pages` renders what they show, `live` feeds open pages with numbers.
"""
