# SPDX-License-Identifier: MIT
"""Programs that people send mail with, each as it is found in the wild: over
STARTTLS and implicit TLS, with AUTH PLAIN and LOGIN as far as it can."""

import email
import os
import shutil
import smtplib
import socket
import subprocess
import tempfile
import textwrap
from email.message import EmailMessage

import pytest

from dialogue import message
from instance import PASSWORD, USER, free_port, lenient_context
from postfix import Postfix
from sink import Sink
from waiting import wait_until

TRACKING = False  # what is not tracked leaves as it came

BOTH = pytest.mark.parametrize("listener", ["smtp", "smtps"])


def need(program):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (script/install test)")


def run(command, **keywords):
    result = subprocess.run(command, capture_output=True, text=True, timeout=60,
                            **keywords)
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def check_arrived(sink, subject, text, protocol="ESMTPSA"):
    one = sink.wait_for(1, where=lambda m: m.field("Subject") == subject)[0]
    assert text in email.message_from_bytes(one.data).as_string()
    assert f"with {protocol}" in one.field("Received")
    assert one.recipients == ["b@rcpt.example"]
    return one


@pytest.fixture
def letter(tmp_path):
    path = tmp_path / "letter.eml"
    path.write_bytes(message(subject="by file", body="Hello,\r\n.dot\r\n").encode())
    return str(path)


@BOTH
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_curl(baton, sink, letter, listener, mechanism):
    need("curl")
    scheme = "smtps" if listener == "smtps" else "smtp"
    run(["curl", "-sS", "-k", "--ssl-reqd",
         f"{scheme}://127.0.0.1:{baton.ports[listener]}/client.example",
         "--mail-from", "a@sender.example", "--mail-rcpt", "b@rcpt.example",
         "-u", f"{USER}:{PASSWORD}", "--login-options", f"AUTH={mechanism}",
         "-T", letter])
    check_arrived(sink, "by file", ".dot")


@BOTH
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_swaks(baton, sink, listener, mechanism):
    need("swaks")
    run(["swaks", "--server", "127.0.0.1", "--port", str(baton.ports[listener]),
         "--tls-on-connect" if listener == "smtps" else "--tls",
         "--auth", mechanism, "--auth-user", USER, "--auth-password", PASSWORD,
         "--from", "a@sender.example", "--to", "b@rcpt.example",
         "--header", "Subject: by swaks", "--body", "Hello"])
    check_arrived(sink, "by swaks", "Hello")


@BOTH
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_msmtp(baton, sink, letter, tmp_path, listener, mechanism):
    need("msmtp")
    config = tmp_path / "msmtprc"
    config.write_text(textwrap.dedent(f"""\
        account default
        host 127.0.0.1
        port {baton.ports[listener]}
        from a@sender.example
        auth {mechanism}
        user {USER}
        password {PASSWORD}
        tls on
        tls_starttls {"off" if listener == "smtps" else "on"}
        tls_certcheck off
        """))
    config.chmod(0o600)
    with open(letter, "rb") as file:
        result = subprocess.run(["msmtp", "-C", str(config), "b@rcpt.example"],
                                stdin=file, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr
    check_arrived(sink, "by file", ".dot")


@BOTH
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_s_nail(baton, sink, tmp_path, listener, mechanism):
    need("s-nail")
    scheme = "smtps" if listener == "smtps" else "smtp"
    run(["s-nail", "-:/", "-S", "v15-compat=yes", "-S", "sendwait",
         "-S", f"mta={scheme}://{USER}:{PASSWORD}@127.0.0.1:"
               f"{baton.ports[listener]}",
         "-S", f"smtp-auth={mechanism}", "-S", "tls-verify=ignore",
         "-S", "smtp-use-starttls", "-S", "from=a@sender.example",
         "-s", "by s-nail", "b@rcpt.example"], input="Hello\n",
        env=dict(os.environ, HOME=str(tmp_path)))
    check_arrived(sink, "by s-nail", "Hello")


@BOTH
def test_mutt(baton, sink, tmp_path, certificate, listener):
    need("mutt")
    scheme = "smtps" if listener == "smtps" else "smtp"
    config = tmp_path / "muttrc"
    config.write_text(textwrap.dedent(f"""\
        set smtp_url = "{scheme}://{USER}@127.0.0.1:{baton.ports[listener]}/"
        set smtp_pass = "{PASSWORD}"
        set smtp_authenticators = "plain"
        set ssl_starttls = yes
        set ssl_force_tls = yes
        set certificate_file = "{certificate[0]}"
        set ssl_verify_host = no
        set from = "a@sender.example"
        set use_from = yes
        set use_envelope_from = yes
        set copy = no
        set record = ""
        """))
    run(["mutt", "-n", "-F", str(config), "-s", "by mutt", "--",
         "b@rcpt.example"], input="Hello\n",
        env=dict(os.environ, HOME=str(tmp_path), TERM="dumb"))
    check_arrived(sink, "by mutt", "Hello")


@BOTH
def test_python_smtplib(baton, sink, listener):
    letter = EmailMessage()
    letter["From"], letter["To"] = "a@sender.example", "b@rcpt.example"
    letter["Subject"] = "by smtplib"
    letter.set_content("Gr\u00fc\u00dfe\n")
    letter.add_alternative("<p>Gr\u00fc\u00dfe</p>", subtype="html")
    letter.set_boundary("===============42==")  # F7
    if listener == "smtps":
        client = smtplib.SMTP_SSL(*baton.address(listener), timeout=30,
                                  context=lenient_context())
        client.login(USER, PASSWORD)
    else:
        client = baton.client()
    with client:
        assert client.send_message(letter) == {}
    one = check_arrived(sink, "by smtplib", "multipart/alternative")
    assert one.body == letter.as_bytes(
        policy=letter.policy.clone(linesep="\r\n")).partition(b"\r\n\r\n")[2]


def test_python_smtplib_sees_refused_recipients(baton, sink):
    with baton.client() as client:
        refused = client.sendmail("a@sender.example",
                                  ["b@rcpt.example", "bad@rcpt..example"],
                                  message().encode())
    assert list(refused) == ["bad@rcpt..example"]
    assert 500 <= refused["bad@rcpt..example"][0] < 560
    sink.wait_for(1)


@BOTH
def test_nodemailer(baton, sink, tmp_path, listener):
    need("node")
    script = tmp_path / "send.js"
    script.write_text(textwrap.dedent(f"""\
        const nodemailer = require('nodemailer');
        const transport = nodemailer.createTransport({{
          host: '127.0.0.1', port: {baton.ports[listener]},
          secure: {"true" if listener == "smtps" else "false"},
          requireTLS: true, tls: {{ rejectUnauthorized: false }},
          auth: {{ user: '{USER}', pass: '{PASSWORD}' }},
        }});
        transport.sendMail({{
          from: 'a@sender.example', to: 'b@rcpt.example',
          subject: 'by nodemailer', text: 'Hello', html: '<b>Hello</b>',
          attachments: [{{ filename: 'a.bin', content: Buffer.alloc(3000, 7) }}],
        }}).then((info) => {{ console.log(info.response); transport.close(); }},
                 (error) => {{ console.error(error); process.exit(1); }});
        """))
    environment = dict(os.environ, NODE_PATH="/usr/share/nodejs:/usr/lib/nodejs")
    result = run(["node", str(script)], env=environment)
    assert "queued as" in result.stdout
    check_arrived(sink, "by nodemailer", "a.bin")


@BOTH
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_phpmailer(baton, sink, tmp_path, listener, mechanism):
    need("php")
    script = tmp_path / "send.php"
    secure = "ssl" if listener == "smtps" else "tls"
    script.write_text(textwrap.dedent(f"""\
        <?php
        foreach (['Exception', 'SMTP', 'PHPMailer'] as $name) {{
            require "/usr/share/php/libphp-phpmailer/src/$name.php";
        }}
        $mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
        $mail->isSMTP();
        $mail->Host = '127.0.0.1';
        $mail->Port = {baton.ports[listener]};
        $mail->SMTPSecure = '{secure}';
        $mail->SMTPOptions = ['ssl' => ['verify_peer' => false,
            'verify_peer_name' => false, 'allow_self_signed' => true]];
        $mail->SMTPAuth = true;
        $mail->AuthType = '{mechanism}';
        $mail->Username = '{USER}';
        $mail->Password = '{PASSWORD}';
        $mail->setFrom('a@sender.example');
        $mail->addAddress('b@rcpt.example');
        $mail->Subject = 'by PHPMailer';
        $mail->isHTML(true);
        $mail->Body = '<b>Hello</b>';
        $mail->AltBody = 'Hello';
        $mail->send();
        """))
    run(["php", str(script)])
    check_arrived(sink, "by PHPMailer", "Hello")


def perl(tmp_path, text):
    need("perl")
    script = tmp_path / "send.pl"
    script.write_text(textwrap.dedent(text))
    run(["perl", str(script)])


@BOTH
def test_perl_net_smtp(baton, sink, tmp_path, listener):
    perl(tmp_path, f"""\
        use strict;
        use Net::SMTP;
        my $smtp = Net::SMTP->new('127.0.0.1', Port => {baton.ports[listener]},
            SSL => {int(listener == "smtps")}, SSL_verify_mode => 0)
            or die "no connection: $@";
        {"" if listener == "smtps" else
         "$smtp->starttls(SSL_verify_mode => 0) or die 'starttls';"}
        $smtp->auth('{USER}', '{PASSWORD}') or die 'auth ' . $smtp->message;
        $smtp->mail('a@sender.example') or die 'mail';
        $smtp->to('b@rcpt.example') or die 'to';
        $smtp->data("From: a\\@sender.example\\nTo: b\\@rcpt.example\\n",
            "Subject: by Net::SMTP\\n\\nHello\\n.dot\\n") or die 'data';
        $smtp->quit;
        """)
    check_arrived(sink, "by Net::SMTP", ".dot")


@BOTH
def test_perl_email_sender(baton, sink, tmp_path, listener):
    perl(tmp_path, f"""\
        use strict;
        use Email::Sender::Simple qw(sendmail);
        use Email::Sender::Transport::SMTP;
        my $transport = Email::Sender::Transport::SMTP->new({{
            host => '127.0.0.1', port => {baton.ports[listener]},
            ssl => '{"ssl" if listener == "smtps" else "starttls"}',
            ssl_options => {{ SSL_verify_mode => 0 }},
            sasl_username => '{USER}', sasl_password => '{PASSWORD}' }});
        sendmail("From: a\\@sender.example\\nTo: b\\@rcpt.example\\n"
            . "Subject: by Email::Sender\\n\\nHello\\n",
            {{ transport => $transport, from => 'a@sender.example',
               to => ['b@rcpt.example'] }});
        """)
    check_arrived(sink, "by Email::Sender", "Hello")


@BOTH
@pytest.mark.parametrize("mechanism", ["plain", "login"])
def test_ruby_mail(baton, sink, tmp_path, listener, mechanism):
    need("ruby")
    script = tmp_path / "send.rb"
    tls = "tls: true" if listener == "smtps" else "enable_starttls_auto: true"
    script.write_text(textwrap.dedent(f"""\
        require 'mail'
        Mail.defaults do
          delivery_method :smtp, address: '127.0.0.1',
            port: {baton.ports[listener]}, user_name: '{USER}',
            password: '{PASSWORD}', authentication: :{mechanism}, {tls},
            openssl_verify_mode: 'none'
        end
        Mail.deliver do
          from 'a@sender.example'
          to 'b@rcpt.example'
          subject 'by Ruby'
          body 'Hello'
        end
        """))
    run(["ruby", str(script)])
    check_arrived(sink, "by Ruby", "Hello")


# A real Postfix on either side

@pytest.fixture
def make_postfix(tmp_path_factory):
    need("postfix")
    if os.getuid() != 0:
        pytest.skip("Postfix starts as root only")

    made, folders = [], []

    def make(parameters, **keywords):
        folder = tempfile.mkdtemp(prefix="baton-test-")
        folders.append(folder)
        if callable(parameters):
            parameters = parameters(folder)
        made.append(Postfix(folder, parameters, **keywords))
        return made[-1]

    yield make
    for one in made:
        one.close()
    for folder in folders:
        shutil.rmtree(folder)


@BOTH
def test_postfix_as_a_client(baton, sink, make_postfix, listener):
    def parameters(folder):
        passwords = os.path.join(folder, "passwords")
        relay = f"[127.0.0.1]:{baton.ports[listener]}"
        with open(passwords, "w") as file:
            file.write(f"{relay} {USER}:{PASSWORD}\n")
        os.chmod(passwords, 0o644)
        return {"relayhost": relay, "smtp_sasl_auth_enable": "yes",
                "smtp_sasl_password_maps": f"texthash:{passwords}",
                "smtp_sasl_security_options": "noanonymous",
                "smtp_tls_security_level": "encrypt",
                "smtp_tls_wrappermode": "yes" if listener == "smtps" else "no"}
    postfix = make_postfix(parameters)
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as client:
        client.sendmail("a@sender.example", "b@rcpt.example",
                        message(subject="by Postfix", body="Hello\r\n.dot\r\n"))
    try:
        one = check_arrived(sink, "by Postfix", ".dot")
    except AssertionError:
        raise AssertionError(postfix.log()[-3000:])
    assert len([1 for name, _ in one.fields() if name == "Received"]) == 2


def test_postfix_as_the_receiving_server(make_baton, make_postfix, certificate):
    final = Sink(name="final.example")
    try:
        postfix = make_postfix({
            "relay_domains": "rcpt.example", "relay_recipient_maps":
                "inline:{good@rcpt.example=x other@rcpt.example=x}",
            "relayhost": f"[127.0.0.1]:{final.port}",
            "smtpd_relay_restrictions": "reject_unauth_destination",
            "smtpd_reject_unlisted_recipient": "yes",
            "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": certificate[0],
            "smtpd_tls_key_file": certificate[1]})
        baton = make_baton(routes={"rcpt.example":
                                   f"smtp://127.0.0.1:{postfix.port}",
                                   "*": "discard:"})
        body = ".dot\r\n" + "x" * 900 + "\r\n"
        baton.submit(message(subject="to Postfix", body=body),
                     ["good@rcpt.example", "bad@rcpt.example",
                      "other@rcpt.example"])
        wait_until(lambda: baton.deliveries() | {} and all(
            state != "queued" for state in baton.deliveries().values()),
            "three ends")
        states = {name: state for name, state in baton.deliveries().items()
                  if name.endswith("rcpt.example")}
        assert states == {"good@rcpt.example": "delivered",
                          "other@rcpt.example": "delivered",
                          "bad@rcpt.example": "failed"}, postfix.log()[-3000:]
        wait_until(lambda: sum(len(m.recipients) for m in final.messages) == 2,
                   "both to be passed on by Postfix")
        assert final.messages[0].body == body.encode()
        attempt = baton.sql("SELECT * FROM baton.attempt WHERE outcome = "
                            "'delivered'")[0]
        assert attempt["tls"].startswith("TLSv1")
        assert "queued as" in attempt["reply"]
        bad = baton.sql("SELECT * FROM baton.attempt WHERE outcome = 'failed'")[0]
        assert bad["enhanced_code"] == "5.1.1"
    finally:
        final.close()
