"""The types of the schema. Fields are attribute reads on the rows of `domain/reading`; no logic lives here."""
