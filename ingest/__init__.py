"""The front door and the operator's desk: HTTP shim, command line, local stack."""
