"""Clients of TensorFlow Serving's protocol; the package `serving` names what is public.

`conversation` says what is asked and when, as generators that know no sockets; the messages are put together
and read in `rest_messages` and `rpc_messages`, carried by `rest_transport` and `rpc_transport`. `client` and
`async_client` run the same generators, each in its own way.
"""
