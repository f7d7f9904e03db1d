# For development on machines without any protection: also accepts the software attester, whose
# evidence proves nothing. Never deploy it.
#
# The software attester's hardware is always contraindicated; its measurements must still be known.
[.submods | to_entries[]
 | if .key == "SOFT"
   then select(.value.ear_trustworthiness_vector.executables | . < 2 or . >= 32)
   else select(.value.ear_status != "affirming")
   end
 | "\(.key) is \(.value.ear_status): \(.value.ear_verifier_claims | .problems // [.problem // empty] | join("; "))"] as $reasons
| if (.submods | length) > 0 and ($reasons | length) == 0
  then {decision: "accept", insecure: ["soft"]}
  else {decision: "refuse", reasons: $reasons}
  end
