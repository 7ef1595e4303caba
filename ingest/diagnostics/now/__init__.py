"""What `status` says beyond what was seen: `trend` adds up the last hour, `blocked` says what stands in the way,
`troubles` all that is wrong, as the alerts would, each with its remedy and the page that helps.
"""
