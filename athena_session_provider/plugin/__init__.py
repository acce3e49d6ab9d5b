"""The plugin ``pulumi-resource-athena-session``: the session for every Pulumi language.

``server`` speaks Pulumi's provider protocol, ``schema`` describes the resource, ``names`` maps the
schema's camelCase to the snake_case of the rest of the package, ``engine`` shows messages and
notices when the engine is gone. What a call means for a session is in ``operations``.
"""
