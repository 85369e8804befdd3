"""Reading for screens and partners: pages of plain rows, each from one SQL statement.

The first argument of every verb is the workspace. Verbs take the relations that are wanted and embed them.
"""
