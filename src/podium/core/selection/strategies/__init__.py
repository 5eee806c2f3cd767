"""Selection strategies, one small file each with its paper: who of those that fit takes part. A calculation."""
