"""How it arrives and leaves: one file a transport, bytes on one side and an envelope or a parcel on the other."""
