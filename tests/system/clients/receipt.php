<?php
// SPDX-License-Identifier: MIT
// A receipt, as a program that uses PHPMailer sends it; its letter is a JSON file.
foreach (['Exception', 'SMTP', 'PHPMailer'] as $name) {
    require "/usr/share/php/libphp-phpmailer/src/$name.php";
}
$letter = json_decode(file_get_contents($argv[1]));
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = '127.0.0.1';
$mail->Port = $letter->port;
$mail->SMTPSecure = 'tls';
$mail->SMTPOptions = ['ssl' => ['verify_peer' => false,
    'verify_peer_name' => false, 'allow_self_signed' => true]];
$mail->SMTPAuth = true;
$mail->Username = $letter->user;
$mail->Password = $letter->password;
$mail->CharSet = 'utf-8';
$mail->Encoding = 'base64';
$mail->setFrom($letter->from);
$mail->addAddress($letter->to);
$mail->Subject = $letter->subject;
foreach ($letter->headers as $field => $value) {
    $mail->addCustomHeader($field, $value);
}
$mail->isHTML(true);
$mail->Body = $letter->html;
$mail->AltBody = $letter->text;
$mail->addEmbeddedImage($letter->image, $letter->cid, 'logo.png');
$mail->addAttachment($letter->attachment, $letter->attachment_name);
$mail->send();
