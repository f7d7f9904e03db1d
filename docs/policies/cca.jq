# Arm CCA realms alone: platform and realm, both affirming; and of these only what the lists below
# name. An empty list takes every value.
def platforms: [];   # instance ids of platforms, 66 hexadecimal digits
def realms: [];      # initial measurements, 64, 96 or 128 hexadecimal digits
def personal: [];    # personalization values, 128 hexadecimal digits, set by whoever made the realm
def lifecycles: ["secured"];

def affirming: . >= 2 and . < 32;
def listed($list): . as $value | ($list | length) == 0 or any($list[]; . == $value);

.submods.CCA_SSD_PLATFORM as $platform
| .submods.CCA_REALM as $realm
| [ (select(.submods | keys != ["CCA_REALM", "CCA_SSD_PLATFORM"])
     | "want exactly the submodules CCA_SSD_PLATFORM and CCA_REALM"),
    (.submods | to_entries[] | select(.value.ear_status != "affirming")
     | "\(.key) is \(.value.ear_status): \(.value.ear_verifier_claims | .problems // [.problem // empty] | join("; "))"),
    (select($platform != null) | $platform
     | (.ear_trustworthiness_vector | select(.hardware | affirming | not) | "nobody vouches for the platform"),
       (.ear_trustworthiness_vector
        | select(."instance-identity" | affirming | not) | "the platform is not known"),
       (.ear_attester_claims.details
        | (select(."instance-id" | listed(platforms) | not) | "platform is not listed"),
          (select(.lifecycle | listed(lifecycles) | not) | "lifecycle is not listed"))),
    (select($realm != null) | $realm
     | (.ear_trustworthiness_vector | select(.executables | affirming | not) | "the realm is not approved"),
       (.ear_attester_claims.details
        | (select(."initial-measurement" | listed(realms) | not) | "initial measurement is not listed"),
          (select(."personalization-value" | listed(personal) | not)
           | "personalization value is not listed"))),
    (select(.ear_status != "affirming") | "the whole is \(.ear_status)")
  ] as $reasons
| if $reasons == [] then {decision: "accept"} else {decision: "refuse", reasons: $reasons} end
