"""What the commands of `gpuctl fleet` share: whom they ask, how a run is told, what is common to changes."""
