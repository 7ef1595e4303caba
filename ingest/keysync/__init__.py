"""Brings the public keys of an organization from its Chef server into the folder that the shim asks: a `server` is
asked by signed requests, `plan` decides what its answer means for a file, `folder` changes files, `sync` does it in
order.
"""
