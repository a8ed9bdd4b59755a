"""HTTP/1.1 as this service speaks it: connections, within bounds, and on each the requests and their answers.

uvicorn listens, and runs a `Connection` for everyone who comes. What it would run by itself takes a head of any size,
waits for a request as long as it takes to come and for an answer as long as it takes to be taken, and takes twice the
time over a request.
"""
