# What holds without a policy file: every submodule is affirming, and so is the whole.
#
# A submodule is one attester inside the peer ("TPM"); its status is never better than the worst
# claim of its trustworthiness vector. Nothing is named under "insecure", so that evidence which
# anyone can make is refused whatever this program says.
[.submods | to_entries[] | select(.value.ear_status != "affirming")
 | "\(.key) is \(.value.ear_status): \(.value.ear_verifier_claims | .problems // [.problem // empty] | join("; "))"] as $reasons
| if (.submods | length) > 0 and ($reasons | length) == 0 and .ear_status == "affirming"
  then {decision: "accept"}
  else {decision: "refuse", reasons: $reasons}
  end
