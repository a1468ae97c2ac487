#include "http/limits.h"

namespace sallyport::http {

std::string_view to_string(Counter counter) {
  switch (counter) {
    case Counter::kHeadBytes:
      return "head_bytes";
    case Counter::kHeadFields:
      return "head_fields";
    case Counter::kTargetBytes:
      return "target_bytes";
    case Counter::kTrailerBytes:
      return "trailer_bytes";
    case Counter::kInformational:
      return "informational_responses";
    case Counter::kChunkLine:
      return "chunk_line";
    case Counter::kHeadTime:
      return "head_time";
    case Counter::kHandshakeTime:
      return "handshake_time";
    case Counter::kIdleTime:
      return "idle_time";
    case Counter::kStreamIdle:
      return "stream_idle";
    case Counter::kWriteStall:
      return "write_stall";
    case Counter::kConnectTime:
      return "connect_time";
    case Counter::kSettingsAck:
      return "settings_ack";
    case Counter::kPingTimeout:
      return "ping_timeout";
    case Counter::kClientHelloBytes:
      return "client_hello_bytes";
    case Counter::kClientHelloMalformed:
      return "client_hello_malformed";
    case Counter::kStreams:
      return "streams";
    case Counter::kStreamsPerTurn:
      return "streams_per_turn";
    case Counter::kRapidReset:
      return "rapid_reset";
    case Counter::kResetRate:
      return "reset_rate";
    case Counter::kContinuations:
      return "continuations";
    case Counter::kSettingsEntries:
      return "settings_entries";
    case Counter::kControlQueued:
      return "control_queued";
    case Counter::kControlRate:
      return "control_rate";
    case Counter::kEmptyFrames:
      return "empty_frames";
    case Counter::kPriority:
      return "priority_frames";
    case Counter::kWindowUpdates:
      return "window_updates";
    case Counter::kGlitchDrain:
      return "glitches_drained";
    case Counter::kGlitches:
      return "glitches";
    case Counter::kTinyData:
      return "tiny_data";
    case Counter::kMemoryBudget:
      return "memory_budget";
    case Counter::kConnections:
      return "connections";
    case Counter::kPoolWaiting:
      return "pool_waiting";
    case Counter::kMalformedLine:
      return "malformed_line";
    case Counter::kMalformedField:
      return "malformed_field";
    case Counter::kMalformedHost:
      return "malformed_host";
    case Counter::kMalformedFraming:
      return "malformed_framing";
    case Counter::kMalformedChunk:
      return "malformed_chunk";
    case Counter::kMethodRefused:
      return "method_refused";
    case Counter::kVersionRefused:
      return "version_refused";
    case Counter::kHttp2Protocol:
      return "http2_protocol";
    case Counter::kHttp2Message:
      return "http2_message";
    case Counter::kBodyShort:
      return "body_short";
    case Counter::kCount:
      break;
  }
  return "";
}

}  // namespace sallyport::http
