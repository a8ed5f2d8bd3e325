"""ebMS 2.0: messages to values and back, signatures, agreements. ``values`` says where each door is."""
