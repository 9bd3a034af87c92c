import { testPoints } from './matrix.ts';
import { beforeAndAfter, effect } from './points.ts';

testPoints(
  beforeAndAfter([
    { name: 'the account is verified', place: effect('account/verify') },
    { name: 'the card is redeemed', place: effect('card/redeem') },
    { name: 'the payment is prepared', place: effect('payment/prepare') },
    { name: 'the payment is captured', place: effect('payment/capture') },
    { name: 'an approved payment is captured', course: 'approved', place: effect('payment/capture') },
    { name: 'the card is registered', place: effect('payment/register-card') },
    { name: 'the domain is acquired', place: effect('registrar/acquire') },
    { name: 'the workspace is set up', role: 'worker', place: effect('workspace/set-up') },
    { name: 'the mail is sent', role: 'worker', place: effect('mail/send') },
    {
      name: 'the workspace is torn down',
      role: 'worker',
      course: 'compensated',
      place: effect('workspace/tear-down'),
    },
    { name: 'the payment is refunded', course: 'compensated', place: effect('payment/refund') },
    { name: 'the card is reactivated', course: 'compensated', place: effect('card/reactivate') },
  ]),
);
