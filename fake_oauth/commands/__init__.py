"""The command line: one module for each command, and the parser that lists them.

program    main, and the parser with every command
parser     how each command is described: its purpose, its options, and examples
init       fake-oauth init
starter    the settings files that init writes
serve      fake-oauth serve
output     what serve prints while it runs
reload     fake-oauth serve --reload
explain    fake-oauth explain
openapi    fake-oauth openapi
schema     fake-oauth schema
completion fake-oauth completion

`fake-oauth check` and `fake-oauth record` are in `fake_oauth.contract`.
"""
