import django.db.models.deletion
import flowstate.models.clock
import flowstate.models.identifiers
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '__first__'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]

    operations = [
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(default=flowstate.models.identifiers.new_run_id, editable=False, primary_key=True, serialize=False)),
                ('workflow', models.CharField(max_length=255, verbose_name='workflow')),
                ('version', models.IntegerField(default=1, verbose_name='version')),
                ('action', models.CharField(blank=True, default='', max_length=255, verbose_name='action')),
                ('atomic', models.BooleanField(default=False, verbose_name='in one transaction')),
                ('status', models.CharField(choices=[('running', 'running'), ('compensating', 'undoing'), ('attention', 'needs attention'), ('succeeded', 'succeeded'), ('compensated', 'undone'), ('failed', 'failed'), ('cancelled', 'cancelled')], default='running', max_length=12, verbose_name='status')),
                ('waiting_for', models.CharField(blank=True, choices=[('', 'nothing'), ('person', 'a person'), ('event', 'an event'), ('time', 'a time')], default='', max_length=8, verbose_name='waiting for')),
                ('object_id', models.CharField(blank=True, default='', max_length=255, verbose_name='row')),
                ('requested_by_label', models.CharField(blank=True, default='', max_length=150, verbose_name='requested by')),
                ('by_system', models.BooleanField(default=False, verbose_name='started by the program itself')),
                ('cancelled_by_label', models.CharField(blank=True, default='', max_length=150, verbose_name='cancelled by')),
                ('cancelled_at', models.DateTimeField(blank=True, null=True, verbose_name='cancelled')),
                ('input_json', models.JSONField(blank=True, db_column='input', default=dict, verbose_name='input')),
                ('initial_data_json', models.JSONField(blank=True, db_column='data', default=dict, verbose_name='initial data')),
                ('value_json', models.JSONField(blank=True, db_column='value', null=True, verbose_name='value')),
                ('error', models.JSONField(blank=True, null=True, verbose_name='error')),
                ('traceback', models.TextField(blank=True, default='', verbose_name='traceback')),
                ('failed_step', models.CharField(blank=True, default='', max_length=100, verbose_name='failed step')),
                ('started_at', models.DateTimeField(default=flowstate.models.clock.host_now, verbose_name='started')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended')),
                ('deadline_at', models.DateTimeField(blank=True, null=True, verbose_name='must end by')),
                ('wake_at', models.DateTimeField(blank=True, null=True, verbose_name='looked at next')),
                ('idempotency_key', models.CharField(blank=True, max_length=64, null=True)),
                ('input_hash', models.CharField(blank=True, default='', max_length=64)),
                ('exclusive_key', models.CharField(blank=True, max_length=64, null=True)),
                ('cancelled_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='cancelled by')),
                ('content_type', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='contenttypes.contenttype')),
                ('requested_by', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='requested by')),
                ('retry_of', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='retried_by', to='flowstate.run', verbose_name='retry of')),
            ],
            options={
                'verbose_name': 'run',
                'verbose_name_plural': 'runs',
                'permissions': [('operate_run', 'Can cancel, retry, force and waive')],
                'indexes': [models.Index(fields=['wake_at'], name='flowstate_run_wake'), models.Index(fields=['ended_at'], name='flowstate_run_ended'), models.Index(fields=['content_type', 'object_id', 'id'], name='flowstate_run_entity'), models.Index(fields=['requested_by', 'id'], name='flowstate_run_requester')],
                'constraints': [models.UniqueConstraint(fields=('idempotency_key',), name='flowstate_run_idempotency'), models.UniqueConstraint(fields=('exclusive_key',), name='flowstate_run_exclusive'), models.CheckConstraint(condition=models.Q(('status__in', ['running', 'compensating', 'attention', 'succeeded', 'compensated', 'failed', 'cancelled'])), name='flowstate_run_status'), models.CheckConstraint(condition=models.Q(('waiting_for__in', ['', 'person', 'event', 'time'])), name='flowstate_run_waiting_for'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status__in', ('running', 'compensating', 'attention')), ('wake_at__isnull', False)), models.Q(('ended_at__isnull', False), ('exclusive_key', None), ('status__in', ('succeeded', 'compensated', 'failed', 'cancelled')), ('wake_at', None)), _connector='OR'), name='flowstate_run_ends_once')],
            },
        ),
        migrations.CreateModel(
            name='RunEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(verbose_name='when')),
                ('kind', models.CharField(choices=[('attempt_failed', 'attempt failed'), ('compensation_attempt_failed', 'undo attempt failed'), ('lease_lost', 'worker lost'), ('cancel_requested', 'cancel requested'), ('retry_requested', 'retry requested'), ('undo_waived', 'undo waived'), ('undo_forced', 'undo forced'), ('output_failed', 'output failed')], max_length=40, verbose_name='what')),
                ('step', models.CharField(blank=True, default='', max_length=100, verbose_name='step')),
                ('attempt', models.IntegerField(blank=True, null=True, verbose_name='attempt')),
                ('actor_label', models.CharField(blank=True, default='', max_length=150, verbose_name='who')),
                ('data', models.JSONField(blank=True, default=dict, verbose_name='details')),
                ('actor', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='flowstate.run')),
            ],
            options={
                'verbose_name': 'run event',
                'verbose_name_plural': 'run events',
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['attempt_failed', 'compensation_attempt_failed', 'lease_lost', 'cancel_requested', 'retry_requested', 'undo_waived', 'undo_forced', 'output_failed'])), name='flowstate_event_kind')],
            },
        ),
        migrations.CreateModel(
            name='StepRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq', models.IntegerField(verbose_name='order')),
                ('name', models.CharField(max_length=100, verbose_name='step')),
                ('kind', models.CharField(max_length=20, verbose_name='kind')),
                ('depends_on', models.JSONField(default=list, verbose_name='depends on')),
                ('branches', models.JSONField(blank=True, null=True, verbose_name='follows')),
                ('join', models.CharField(choices=[('all', 'all'), ('any', 'the first that is done')], default='all', max_length=3, verbose_name='waits for')),
                ('optional', models.BooleanField(default=False, verbose_name='optional')),
                ('background', models.BooleanField(default=False, verbose_name='in the background')),
                ('queue', models.CharField(blank=True, default='', max_length=100, verbose_name='queue')),
                ('key', models.CharField(max_length=200, verbose_name='idempotency key')),
                ('status', models.CharField(choices=[('blocked', 'blocked'), ('ready', 'ready'), ('running', 'running'), ('waiting', 'waiting'), ('done', 'done'), ('skipped', 'skipped'), ('failed', 'failed'), ('cancelled', 'cancelled'), ('unknown', 'unknown')], default='blocked', max_length=12, verbose_name='status')),
                ('reason', models.CharField(blank=True, default='', max_length=500, verbose_name='reason')),
                ('attempt', models.IntegerField(default=0, verbose_name='fencing token')),
                ('failures', models.IntegerField(default=0, verbose_name='failures')),
                ('lost', models.IntegerField(default=0, verbose_name='lost leases')),
                ('uncertain', models.BooleanField(default=False, verbose_name='effect in doubt')),
                ('lease_until', models.DateTimeField(blank=True, null=True, verbose_name='claimed until')),
                ('claimed_by', models.CharField(blank=True, default='', max_length=64, verbose_name='claimed by process')),
                ('wake_at', models.DateTimeField(blank=True, null=True, verbose_name='due at')),
                ('started_at', models.DateTimeField(blank=True, null=True, verbose_name='started')),
                ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended')),
                ('result_json', models.JSONField(blank=True, db_column='result', null=True, verbose_name='result')),
                ('data_json', models.JSONField(blank=True, db_column='data', null=True, verbose_name='data')),
                ('error', models.JSONField(blank=True, null=True, verbose_name='error')),
                ('undo', models.JSONField(blank=True, null=True, verbose_name='undo record')),
                ('celery_task_id', models.CharField(blank=True, default='', max_length=255, verbose_name='Celery task')),
                ('compensation', models.CharField(choices=[('none', 'nothing to undo'), ('pending', 'can be undone'), ('running', 'undoing'), ('done', 'undone'), ('failed', 'undo failed'), ('waived', 'waived')], default='none', max_length=8, verbose_name='compensation')),
                ('compensation_attempt', models.IntegerField(default=0, verbose_name="compensation's token")),
                ('compensation_failures', models.IntegerField(default=0, verbose_name="compensation's failures")),
                ('compensation_lost', models.IntegerField(default=0, verbose_name="compensation's lost leases")),
                ('compensation_error', models.JSONField(blank=True, null=True, verbose_name="compensation's error")),
                ('compensation_started_at', models.DateTimeField(blank=True, null=True, verbose_name='compensation started')),
                ('compensation_ended_at', models.DateTimeField(blank=True, null=True, verbose_name='compensation ended')),
                ('run', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='step_runs', to='flowstate.run')),
            ],
            options={
                'verbose_name': 'step run',
                'verbose_name_plural': 'step runs',
                'constraints': [models.UniqueConstraint(fields=('run', 'seq'), name='flowstate_steprun_seq'), models.CheckConstraint(condition=models.Q(('status__in', ['blocked', 'ready', 'running', 'waiting', 'done', 'skipped', 'failed', 'cancelled', 'unknown'])), name='flowstate_steprun_status'), models.CheckConstraint(condition=models.Q(('compensation__in', ['none', 'pending', 'running', 'done', 'failed', 'waived'])), name='flowstate_steprun_compensation'), models.CheckConstraint(condition=models.Q(('lease_until', None), ('status', 'running'), ('compensation', 'running'), _connector='OR'), name='flowstate_steprun_lease')],
            },
        ),
    ]
