"""The shell: loop, writer, device API, operator API. Wires everything; nothing imports it but the CLI."""
