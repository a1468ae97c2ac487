// `sallyport proxy`: one process of gate 2. It takes its channel to the node, drops every
// privilege, and serves until the node closes the channel.
#pragma once

namespace sallyport::proxy {

// sallyport proxy --channel-fd N [--workers N] [--uid U --gid G] [--memory-budget BYTES]
int proxy_main(int argc, char** argv);

}  // namespace sallyport::proxy
