"""One sentence for each word of the lifecycle, for the SDL and the docs. The statuses' own are in `lifecycle.MEANING`.

Source: product.md section 2.
"""

from collections.abc import Mapping

from domain.rules.lifecycle import Action, EndReason, Signal, Stage
from domain.rules.tally import StepOutcome

STAGE: Mapping[Stage, str] = {
    Stage.SCHEDULED: "Not ended, not in error, no email or SMS sent yet.",
    Stage.IN_PROGRESS: "Not ended, not in error, at least one email or SMS sent.",
    Stage.FINISHED: "Completed, replied, stopped or unsubscribed.",
    Stage.ERROR: "In error or bounced.",
}

END_REASON: Mapping[EndReason, str] = {
    EndReason.COMPLETED: "Every step was carried out or skipped.",
    EndReason.REPLIED: "The person answered.",
    EndReason.COMPANY_REPLIED: "Someone else of the person's company answered.",
    EndReason.STOPPED: "A person stopped it.",
    EndReason.UNSUBSCRIBED: "The person opted out through a message of this sequence.",
    EndReason.SUPPRESSED: "The person was put on the suppression list, or opted out elsewhere.",
    EndReason.COMPLAINED: "The person reported a message of this sequence as spam.",
    EndReason.BOUNCED: "The address is permanently undeliverable.",
}

ACTION: Mapping[Action, str] = {
    Action.PAUSE: "No step runs until it is resumed; the clock of the running wait stops.",
    Action.RESUME: "The wait goes on with what was left of it. An open error that can be retried is retried.",
    Action.SKIP_STEP: "The current step is recorded as skipped, and the next one's wait starts now.",
    Action.EDIT_CONTENT: "Changes text of steps not yet carried out, for this recipient. A failed step is tried again.",
    Action.STOP: "Ends it for good; its data stays in reports.",
    Action.DELETE: "Removes it from lists and reports.",
}

SIGNAL: Mapping[Signal, str] = {
    Signal.HUMAN_REPLY: "A person answered, in or outside the thread, and the sequence stops on reply.",
    Signal.HARD_BOUNCE: "The address is permanently undeliverable.",
    Signal.OPT_OUT: "An opt-out through this sequence's message.",
    Signal.COMPLAINT: "A spam complaint about this sequence's message.",
    Signal.SUPPRESSION_ELSEWHERE: "Suppressed by another sequence, by the list or with a whole domain.",
    Signal.AUTOMATIC_ANSWER: "An automatic answer, such as an absence note.",
    Signal.TEMPORARY_REFUSAL: "The mail server said “later” at the hand-over.",
    Signal.DELIVERY_DELAYED: "A delivery report says “delayed”.",
    Signal.DELIVERY_FAILED: "A delivery report says “failed”, not about the address, on the latest message.",
    Signal.SENT_LATE: "Proof that a message was sent arrives late.",
    Signal.FAILED_LATE: "Proof that a message was not sent arrives late.",
}

STEP_OUTCOME: Mapping[StepOutcome, str] = {
    StepOutcome.REACHED: "It has done the step, is at it, ended at it, or bounced by it.",
    StepOutcome.WAITING: "It is at the step, without an open error.",
    StepOutcome.FAILED: "It is at the step, with an open error.",
    StepOutcome.CARRIED_OUT: "The step was carried out: its message was sent, or its task completed.",
    StepOutcome.SKIPPED: "The step was skipped.",
    StepOutcome.REPLIED: "It replied, and the step is the last that was carried out before.",
    StepOutcome.BOUNCED: "It bounced by the step's message.",
}
