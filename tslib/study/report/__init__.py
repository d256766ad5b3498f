"""Sentences and tables whose numbers come from records, one file a chapter or a subject.

Imports the library, ``study.bench``, ``study.claims`` and the study's data.
"""
