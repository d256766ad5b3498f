"""What a step costs, against PEFT and other peers.

Imports the library; nothing else of the study.
"""
