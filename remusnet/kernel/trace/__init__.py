"""Where a vif's frames go: seen on their way in, and on their way out of the buffer device."""
