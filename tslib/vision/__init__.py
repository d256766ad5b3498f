"""Pictures: frozen encoders, tasks about pictures, how a picture enters a language model, and prompts tied to places.

Imports everything up to ``prompts``. Its files are imported where a picture is first needed, so that whoever has none
needs no more packages.
"""
