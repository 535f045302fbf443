"""The command line: one module for each command, and the parser that lists them.

program    main, and the parser with every command
parser     how each command is described: its purpose, its options, and examples
serve      fake-oauth serve
output     the lines that serve prints
openapi    fake-oauth openapi
schema     fake-oauth schema

`fake-oauth check` and `fake-oauth record` are in `fake_oauth.contract`.
"""
