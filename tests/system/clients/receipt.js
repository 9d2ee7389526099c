// SPDX-License-Identifier: MIT
// A receipt, as a program that uses nodemailer sends it; its letter is a JSON file.
'use strict';
const fs = require('fs');
const nodemailer = require('nodemailer');

const letter = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: letter.port, requireTLS: true,
  tls: { rejectUnauthorized: false },
  auth: { user: letter.user, pass: letter.password },
});
transport.sendMail({
  from: letter.from, to: letter.to, subject: letter.subject,
  headers: letter.headers, text: letter.text, html: letter.html,
  attachments: [
    { filename: 'logo.png', path: letter.image, cid: letter.cid },
    { filename: letter.attachment_name, path: letter.attachment },
  ],
}).then(() => transport.close(), (error) => {
  console.error(error);
  process.exit(1);
});
