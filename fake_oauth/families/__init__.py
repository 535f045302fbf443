"""Token families: the tokens of each login as a tree, with what became of each.

tree     the families and their tokens as values, and the text that draws them
edges    which request issued a token, and which token led to it
reading  the families of a server, read from its store and its journal
"""
