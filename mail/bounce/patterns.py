"""By what returned mail and automatic answers show themselves: senders, subjects, first sentences.

Words of one kind are never enough: mail systems also write newsletters, parcels are "not delivered" too, and parents
quote bounces. `reports` asks for several kinds together.
"""

import re

DAEMON_ADDRESS = re.compile(
    r"(?:mailer-?daemon|mail-?daemon|maildaemon|mdaemon|postmaster\S*|post_?master\S*|microsoftexchange\S*"
    r"|mail-?system|mailsystem|mail-?delivery\S*|(?:mail-?)?bounces?|daemon|mta|smtpd?"
    r"|\S*(?:anti-?virus|virus-?wall|smtp[_-]?gateway)\S*|mailserver|mail-?error|mmsc?-?\S{0,10})@\S*",
    re.IGNORECASE,
)
"""Addresses under which mail systems write."""

DAEMON_NAME = re.compile(
    r"mail(?:er)?[ -]?daemon|mail delivery|delivery (?:subsystem|system agent|agent)"
    r"|(?:e-?)?mail (?:system|administrator|daemon|transport|router|server|gateway|service)|system administrator"
    r"|post ?master|microsoft (?:exchange|outlook)|mailer$|メール(?:配信|送信|配送)?(?:システム|サーバ|エラー)"
    r"|配信エラー|почтовая служба|systemadministrator|administrateur système",
    re.IGNORECASE,
)

REPLY_OR_FORWARD = re.compile(
    r"\s*(?:\[[^\]]{0,40}\]\s*)?(?:re|fwd?|aw|wg|antw|sv|tr|rv|r|i|返信|転送|回复|转发)\s*(?:\[\d+\]"
    r"|\^\d+)?\s*[:：>]",
    re.IGNORECASE,
)

BOUNCE_SUBJECT = re.compile(
    r"undeliver|nondeliver|non-?deliver|not deliver|undelivered|returned (?:e?-?mail|message|to sender|post)"
    r"|return(?:ing)? (?:mail|message|to sender)"
    r"|delivery (?:status|failure|failed|report|problem|error|notification|has failed|notice|unsuccessful"
    r"|to .{1,80} failed)|failure (?:notice|notification|delivery)|failed (?:mail|delivery|message|to deliver)"
    r"|mail delivery|mail (?:failure|error|system error|status)"
    r"|(?:could|can|was|were|has)(?: ?not|n't) (?:been |be )?(?:deliver|sent)"
    r"|message (?:not|could|blocked|rejected|undeliver|delivery|status|delayed)"
    r"|problems? (?:delivering|with delivery|sending)|warning: (?:could not|message)|still being retried"
    r"|delayed mail|(?:mail|message|delivery) (?:is |was |has been )?delay|could not send|unable to deliver"
    r"|rejected (?:mail|message)|mail(?:box)? (?:is )?full|address (?:not found|unknown)|user unknown"
    r"|unknown (?:user|recipient|address)|error (?:mail|report|sending)"
    r"|bounced? ?(?:mail|message|action|notification)|notice: mail delivery"
    r"|message (?:you sent )?(?:was )?(?:blocked|returned)|you sent blocked|not been delivered|unzustellbar"
    r"|nicht zustell|zustell\w* (?:der|ihrer|fehl)|nicht zugestellt|zustellungsfehler|unzustellbare|fehler bei"
    r"|non[ -]remis|non[ -]distribu|échec|remise|no se (?:ha )?(?:puede|pudo|podido)|devuelto|devolvid|no entreg"
    r"|mancata consegna|non recapit|impossibile|não entreg|falha|недоставлен|не доставлен|не удалось|невозможн"
    r"|niedostarcz|onbestelbaar|olevererbart|ikke lever|kan inte|未達|未配信|未送達|不達"
    r"|配信(?:でき|不能|不可|エラー|失敗|状況|遅延|状態)|送信(?:エラー|失敗|でき|不能|遅延)"
    r"|配達(?:でき|不能|状況|エラー|されな)|送達|届けられ|お届けでき|届きませ|エラーメール|返送"
    r"|(?:メール|アドレス)(?:が|は)?(?:不明|存在し|エラー)|宛先(?:不明|エラー)|退信|退訊|退件|投递失败|无法投递"
    r"|無法(?:投遞|傳遞|傳送)|未传递|未傳遞|传递失败|반송|전송 ?실패|배달",
    re.IGNORECASE,
)

DELAY_WORDS = re.compile(
    r"delivery status notification ?\(?delay|\(delay(?:ed)?\)|delayed mail|warning: (?:message|could not send)"
    r"|still being retried|will (?:continue|keep) (?:to )?(?:be )?(?:try|retr|attempt)"
    r"|will (?:be )?re-?tr(?:y|ied)|keep trying|warning message only"
    r"|(?:do|need) not (?:need to )?(?:re-?send|take any action)"
    r"|(?:has|have) not (?:yet )?been delivered (?:yet|after|for)|not yet been delivered|delivery incomplete"
    r"|(?:delivery|message|mail) (?:\S{1,40} ){0,6}?(?:is|was|has been) (?:temporarily )?delayed"
    r"|delayed? \d+ hours?|delivery (?:attempts )?(?:will|is) (?:continue|still|temporarily delay)"
    r"|no action is required on your part|verzögert|retardé|retrasad|ritardat|задерж|遅延|遅れて(?:い|お)"
    r"|再送を(?:続|試み)|再試行(?:を続|し(?:ます|てい))|配送を試み続け",
    re.IGNORECASE,
)
FINAL_WORDS = re.compile(
    r"giv(?:en|ing) up|given up|no longer try|will not (?:be )?(?:re-?tr|try|attempt)"
    r"|permanent (?:fatal )?(?:error|failure)|failed permanently|not going to try"
    r"|has been removed from the (?:mail )?queue|will be deleted from queue"
    r"|returned to sender|undeliverable|あきらめ|断念|中止しました",
    re.IGNORECASE,
)

BOUNCE_OPENING = re.compile(
    r"(?:could|can|was|were|is|be|has|have|had)(?: ?not|n't)(?: yet)? (?:been |be )?(?:deliver|transmit|sent|reach"
    r"|relayed|forwarded|process)|cannot be (?:deliver|sent|reach)"
    r"|(?:unable|failed|impossible|not able|wasn't able|couldn't|could not|cannot) (?:to )?(?:deliver|send|reach"
    r"|transmit|relay|forward)|undeliver|nondeliver|non-?delivery"
    r"|delivery (?:to the following|of (?:the|your|this)|for|attempt|has|have|was|failed|failure|error|problem"
    r"|status|report|unsuccessful)|failed permanently|fatal errors?|(?:delivery|recipient) (?:problem|error)s?"
    r"|did(?: not|n't) reach|(?:delivery|transaction|mail) failed|has failed|was rejected|been rejected"
    r"|rejected by|refused by|were rejected|returned (?:mail|message|to sender|to you)"
    r"|following (?:recipient|address|user|destination|e-?mail|mailbox)"
    r"|mail(?: |-)?(?:system|server|delivery|daemon)|unknown (?:user|recipient|address)|user unknown"
    r"|message you sent|your (?:message|mail|e-?mail) (?:to|was|could|cannot|has)|permanent error"
    r"|address(?:es)? (?:not found|failed)|was blocked|mailbox (?:is )?full|status notification"
    r"|does(?: not|n't) exist|no such user|qmail|remote host said|smtp error|returned (?:from|because)"
    r"|配信(?:でき|エラー|不能|され(?:ま|な)|に失敗|が遅)|送信(?:でき|エラー|され(?:ま|な)|に失敗)"
    r"|お?届け(?:でき|する?ことができ|られ)|届きませ|届かな|配達(?:でき|され)|送達でき|送付でき|到達(?:でき|しま)"
    r"|受信(?:でき|拒否)|宛先(?:不明|の|が)|あて先(?:不明|の|が)|見つかりません|存在しま|メールボックス"
    r"|エラーメール|返送|nicht (?:zugestellt|zustell|ausgeliefert)|unzustellbar|zustell|(?:n'a|n'ont) (?:pas )?pu"
    r"|non (?:remis|distribu)|échec|n'a pas été|no (?:se )?(?:ha|pudo|puede)|no entreg|non (?:è|e') stato"
    r"|impossibile|não (?:foi|pôde|pode)|не (?:может|могло|было|удалось|доставлен)|недостав|невозможн"
    r"|nie (?:zosta|moż|mog)|无法|無法|退信|退回|未能|失败|失敗|전송|배달",
    re.IGNORECASE,
)

SMTP_REPLY_LINE = re.compile(
    r"(?<![\d.])[45]\d\d[ -](?:#?[45]\.\d{1,3}\.\d{1,3}|[\"<A-Za-z:#\u3040-\u9fff-])|[#(\[ <][45]\.\d\.\d{1,3}\b"
    r"|(?m:^status: ?[45]\.)|^>>> |^<<< |remote host said|diagnostic",
    re.IGNORECASE | re.MULTILINE,
)

AUTO_SUBJECT = re.compile(
    r"\s*(?:\[[^\]]{0,40}\]\s*)?(?:(?:re|aw|sv)\s*:\s*)?[\[【(（「]?\s*(?:auto(?:matic|mated|matisk|matisch\w*"
    r"|matique)?[ :-]{0,3}(?:reply|response|respond|antwort|svar|antwoord|réponse)"
    r"|automatically generated (?:response|reply)|auto:|autosvar|autoreply|réponse automatique"
    r"|respuesta autom[aá]tica|risposta automatica|resposta automática|automaattinen vastaus|automatiskt svar"
    r"|odpowiedź automatyczna|automatická odpov|автоматический ответ|автоответ|자동 회신|自动(?:答复|回复)"
    r"|自動(?:回覆|応答|返信|回答)|不在(?:通知|連絡|応答|のお知らせ|メール|中|設定|です|にして|$|[:：])"
    r"|休暇(?:通知|中です)|out[ -]of[ -](?:the[ -])?office|ooo\b|out of town|abwesenheit|abwesend\b"
    r"|absence du bureau|absent du bureau|fuera de (?:la )?oficina|fuori sede|afwezig|frånvar"
    r"|away (?:from (?:my|the)|until|message|notice)|away$"
    r"|(?:i am|i'm) (?:\S{1,10} )?(?:away|on vacation|on leave|on holiday|out of)"
    r"|vacation(?: (?:reply|message|response)|:|$)|your (?:message|mail|e-?mail) (?:has been|was) received"
    r"|thank you for contacting|unverified e-?mail to)"
    r"|.{0,80}(?:\((?:automatic|auto)[ -](?:reply|response)\)|\bauto-?(?:reply|response|responder)\b"
    r"|自動返信(?:メール)?(?:です)?[】\])）]?\s*$|自動応答(?:メール)?[】\])）]?\s*$"
    r"|is (?:out of (?:the )?office|away from|on vacation)\b)",
    re.IGNORECASE,
)
"""Subjects of programs that answer. "Absence" and "Holiday notice" are what families and teachers write."""

CHALLENGE_WORDS = re.compile(
    r"requires? verification|(?:confirm|verify|authenticate) (?:that you|your (?:message|e-?mail|identity)|you are)"
    r"|(?:held|waiting|quarantined|pending) (?:\S{1,20} ){0,6}?(?:confirm|verif|approv|reply)|challenge.?response"
    r"|to (?:complete|ensure) (?:the )?delivery|spam ?arrest|boxbe|one-time (?:confirmation|verification)"
    r"|prove (?:that )?you are",
    re.IGNORECASE,
)
