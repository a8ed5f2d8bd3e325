"""What is said: values and bytes.

This room turns bytes into values and back. It opens no socket and no file, reads no clock, logs nothing and imports no
other room; every function in it can be tested one byte at a time.
"""
