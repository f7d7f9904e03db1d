# Devices with a PSA root of trust alone, affirming; and of these only what the lists below name. An
# empty list takes every value.
def devices: [];   # instance ids, 66 hexadecimal digits
def makes: [];     # implementation ids, 64 hexadecimal digits
def callers: [];   # client ids as texts ("-1"): whose token it is; below 0 in the non-secure world
def lifecycles: ["secured"];

def affirming: . >= 2 and . < 32;
def listed($list): . as $value | ($list | length) == 0 or any($list[]; . == $value);

.submods.PSA_IOT as $psa
| [ (select(.submods | keys != ["PSA_IOT"]) | "want exactly the submodule PSA_IOT"),
    (select($psa != null) | $psa
     | (select(.ear_status != "affirming")
        | "PSA_IOT is \(.ear_status): \(.ear_verifier_claims | .problems // [.problem // empty] | join("; "))"),
       (.ear_trustworthiness_vector
        | select(."instance-identity" | affirming | not) | "the device is not known"),
       (.ear_trustworthiness_vector | select(.executables | affirming | not) | "its software is not approved"),
       (.ear_attester_claims.details
        | (select(."instance-id" | listed(devices) | not) | "device is not listed"),
          (select(."implementation-id" | listed(makes) | not) | "implementation is not listed"),
          (select(."client-id" | listed(callers) | not) | "caller is not listed"),
          (select(.lifecycle | listed(lifecycles) | not) | "lifecycle is not listed"))),
    (select(.ear_status != "affirming") | "the whole is \(.ear_status)")
  ] as $reasons
| if $reasons == [] then {decision: "accept"} else {decision: "refuse", reasons: $reasons} end
