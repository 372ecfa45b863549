"""The desk: pages that people use, and what such pages share: storage, invitation links, the guard, pictures.

Notable: a vote is on disk before it is acknowledged, a request without a valid session reaches no page but the door,
and an answer that comes twice counts once. `emu vote RUN` is the first page, in `desk/vote/`.
"""
