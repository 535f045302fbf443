"""What `fake-oauth explain` knows: names of the protocol and of this server, tokens, and responses.

Nothing here opens a connection, logs, or keeps what it is given.

page        an explanation, and its layout
codes       CODES, the OAuth error codes
causes      CAUSES, the reasons for which this server refuses
members     claims, header parameters, and members of responses
names       the explanation of a name
recorded    what the journal of a running fake has about a refusal
lines       lines of the server's log
pasted      what a pasted text is
moments     dates and durations in words
jwts        the explanation of a JWT
responses   the explanation of a response
"""
